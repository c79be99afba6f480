# A network for chargers on AWS: where the service runs (EKS or ECS), what it keeps its data in, and
# who may change it. docs/aws.md leads through it.

locals {
  name = "enchufe-${var.environment}"
}

module "key" {
  source = "./modules/key"

  name       = local.name
  account_id = var.account_id
  region     = var.region
}

module "network" {
  source = "./modules/network"

  name                = local.name
  region              = var.region
  cidr                = var.vpc_cidr
  nat_per_zone        = var.nat_per_zone
  interface_endpoints = var.interface_endpoints
  kms_key_arn         = module.key.arn
  log_retention_days  = var.log_retention_days
}

module "registry" {
  source = "./modules/registry"

  name        = "enchufe/${var.environment}"
  kms_key_arn = module.key.arn
  keep_images = var.keep_images
}

# Passwords are made here, given to who needs them, and never written into the state. They are made
# anew at every run, and used only when the version they belong to has changed.
ephemeral "random_password" "database" {
  length  = 40
  special = false
}

ephemeral "random_password" "cache" {
  length  = 64
  special = false
}

ephemeral "random_password" "admin" {
  length  = 48
  special = false
}

ephemeral "random_password" "metrics" {
  length  = 48
  special = false
}

module "database" {
  source = "./modules/database"

  name                  = local.name
  vpc_id                = module.network.vpc_id
  subnet_ids            = module.network.data_subnet_ids
  client_security_group = local.service_security_group
  password              = ephemeral.random_password.database.result
  password_version      = var.password_version
  kms_key_arn           = module.key.arn
  engine_version        = var.database.engine_version
  instance_class        = var.database.instance_class
  storage_gib           = var.database.storage_gib
  max_storage_gib       = var.database.max_storage_gib
  multi_az              = var.database.multi_az
  backup_retention_days = var.database.backup_retention_days
  deletion_protection   = var.deletion_protection
}

module "cache" {
  source = "./modules/cache"

  name                  = local.name
  vpc_id                = module.network.vpc_id
  subnet_ids            = module.network.data_subnet_ids
  client_security_group = local.service_security_group
  password              = ephemeral.random_password.cache.result
  password_version      = var.password_version
  kms_key_arn           = module.key.arn
  node_type             = var.cache.node_type
  nodes                 = var.cache.nodes
  log_retention_days    = var.log_retention_days
}

module "secrets" {
  source = "./modules/secrets"

  name             = local.name
  kms_key_arn      = module.key.arn
  recovery_days    = var.deletion_protection ? 30 : 0
  password_version = var.password_version
  values = {
    database-url  = "postgres://${module.database.username}:${ephemeral.random_password.database.result}@${module.database.endpoint}/${module.database.name}?sslmode=${var.database.ssl_mode}"
    redis-url     = "rediss://:${ephemeral.random_password.cache.result}@${module.cache.address}:${module.cache.port}"
    admin-token   = ephemeral.random_password.admin.result
    metrics-token = ephemeral.random_password.metrics.result
  }
}

module "eks" {
  source = "./modules/eks"
  count  = var.platform == "eks" ? 1 : 0

  name                = local.name
  kubernetes_version  = var.kubernetes_version
  subnet_ids          = module.network.private_subnet_ids
  public_access_cidrs = var.kubernetes_api_cidrs
  administrators      = var.kubernetes_administrators
  kms_key_arn         = module.key.arn
  secret_arns         = values(module.secrets.arns)
  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
}

module "ecs" {
  source = "./modules/ecs"
  count  = var.platform == "ecs" ? 1 : 0

  name                = local.name
  region              = var.region
  account_id          = var.account_id
  vpc_id              = module.network.vpc_id
  vpc_cidr            = var.vpc_cidr
  public_subnet_ids   = module.network.public_subnet_ids
  private_subnet_ids  = module.network.private_subnet_ids
  certificate_arn     = var.service.certificate_arn
  public_url          = var.service.public_url
  ingress_cidrs       = var.service.ingress_cidrs
  image               = var.service.image
  cpu                 = var.service.cpu
  memory              = var.service.memory
  architecture        = var.service.architecture
  min_tasks           = var.service.min_tasks
  max_tasks           = var.service.max_tasks
  settings            = var.service.settings
  scrapers            = var.service.scrapers
  secret_arns         = module.secrets.arns
  password_version    = var.password_version
  kms_key_arn         = module.key.arn
  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
}

locals {
  # Whoever has it may reach the database and the cache: the cluster's nodes, or the service's tasks.
  service_security_group = one(concat(module.eks[*].security_group_id, module.ecs[*].security_group_id))
}

module "pipeline" {
  source = "./modules/pipeline"
  count  = var.pipeline == null ? 0 : 1

  name                 = local.name
  repository           = var.pipeline.repository
  environment          = var.environment
  create_oidc_provider = var.pipeline.create_oidc_provider
  account_id           = var.account_id
  registry_arn         = module.registry.arn
  kms_key_arn          = module.key.arn
}
