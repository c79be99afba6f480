output "security_group_id" {
  description = "What the tasks have."
  value       = aws_security_group.service.id
}

output "balancer_dns_name" {
  description = "The balancer's name, to point your own at."
  value       = aws_lb.this.dns_name
}

output "metrics_dns_name" {
  description = "Resolves to every task's address."
  value       = "${aws_service_discovery_service.this.name}.${aws_service_discovery_private_dns_namespace.this.name}"
}
