# Redis: who holds which charger, events and commands between the servers, copies of what is read.
# It need not keep anything (docs/operations.md), so there are no snapshots.

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Where the cache lives"
  subnet_ids  = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-cache"
  description = "Redis, for the service alone"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  security_group_id            = aws_security_group.this.id
  description                  = "Redis from the service"
  referenced_security_group_id = var.client_security_group
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

locals {
  port = 6379
}

resource "aws_elasticache_parameter_group" "this" {
  name        = var.name
  description = "${var.name}: Redis 7"
  family      = "redis7"

  # What it holds expires by itself or is needed: nothing may be thrown out early.
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV_AWS_31:It has a password: auth_token_wo, which is not kept in the state and which the scanner does not know yet.
  replication_group_id = var.name
  description          = "${var.name}: shared by the servers of one network"

  engine               = "redis"
  engine_version       = "7.1"
  node_type            = var.node_type
  port                 = local.port
  parameter_group_name = aws_elasticache_parameter_group.this.name

  num_cache_clusters         = var.nodes
  automatic_failover_enabled = true
  multi_az_enabled           = true
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.this.id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token_wo              = var.password
  auth_token_wo_version      = var.password_version
  # The old password goes on working until the servers have the new one; see docs/aws.md.
  auth_token_update_strategy = "ROTATE"

  auto_minor_version_upgrade = true
  maintenance_window         = "tue:04:30-tue:05:30"
  snapshot_retention_limit   = 0

  log_delivery_configuration {
    destination      = aws_cloudwatch_log_group.this.name
    destination_type = "cloudwatch-logs"
    log_format       = "json"
    log_type         = "slow-log"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/enchufe/${var.name}/cache"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
