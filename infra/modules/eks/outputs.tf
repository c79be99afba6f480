output "cluster_name" {
  description = "The cluster's name."
  value       = aws_eks_cluster.this.name
}

output "security_group_id" {
  description = "What the nodes, and so the pods, have."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "external_secrets_role_arn" {
  description = "The role of the External Secrets Operator."
  value       = aws_iam_role.external_secrets.arn
}
