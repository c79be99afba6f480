output "endpoint" {
  description = "Host and port."
  value       = aws_db_instance.this.endpoint
}

output "username" {
  description = "Whom the service connects as."
  value       = local.username
}

output "name" {
  description = "The database's name."
  value       = local.database
}
