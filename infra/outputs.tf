output "registry_url" {
  description = "Where images are pushed to and pulled from."
  value       = module.registry.url
}

output "database_endpoint" {
  description = "The database's host and port, reachable from within the VPC by the service alone."
  value       = module.database.endpoint
}

output "cache_address" {
  description = "The host of the cache's node that takes writes."
  value       = module.cache.address
}

output "secret_arns" {
  description = "The secrets the service needs, by name. What they hold is in no output and in no state."
  value       = module.secrets.arns
}

output "vpc_id" {
  description = "The VPC."
  value       = module.network.vpc_id
}

output "egress_addresses" {
  description = "The addresses from which the service reaches the internet: for allow-lists of others."
  value       = module.network.egress_addresses
}

output "cluster_name" {
  description = "With platform eks: for `aws eks update-kubeconfig --name`."
  value       = one(module.eks[*].cluster_name)
}

output "external_secrets_role_arn" {
  description = "With platform eks: the role under which the External Secrets Operator reads the secrets."
  value       = one(module.eks[*].external_secrets_role_arn)
}

output "balancer_dns_name" {
  description = "With platform ecs: what the name people use must point to."
  value       = one(module.ecs[*].balancer_dns_name)
}

output "metrics_dns_name" {
  description = "With platform ecs: a name in the VPC that resolves to every task, for Prometheus' dns_sd_configs."
  value       = one(module.ecs[*].metrics_dns_name)
}

output "pipeline_role_arn" {
  description = "The role that the workflows assume."
  value       = one(module.pipeline[*].role_arn)
}
