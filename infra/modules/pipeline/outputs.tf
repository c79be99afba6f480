output "role_arn" {
  description = "The role that the workflows assume."
  value       = aws_iam_role.this.arn
}
