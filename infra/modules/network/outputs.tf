output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "A subnet in each zone that the internet reaches, for balancers."
  value       = values(aws_subnet.public)[*].id
}

output "private_subnet_ids" {
  description = "A subnet in each zone that reaches the internet, for what runs."
  value       = values(aws_subnet.private)[*].id
}

output "data_subnet_ids" {
  description = "A subnet in each zone without the internet, for what is kept."
  value       = values(aws_subnet.data)[*].id
}

output "egress_addresses" {
  description = "The addresses behind which the private subnets reach the internet."
  value       = values(aws_eip.nat)[*].public_ip
}
