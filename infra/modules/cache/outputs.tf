output "address" {
  description = "The host of the node that takes writes; it follows a failover."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "port" {
  description = "The port, which speaks TLS."
  value       = local.port
}
