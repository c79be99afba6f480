mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                  = "enchufe-test"
  vpc_id                = "vpc-11111111"
  subnet_ids            = ["subnet-1", "subnet-2", "subnet-3"]
  client_security_group = "sg-22222222"
  password              = "not-a-password-but-a-test"
  password_version      = 3
  kms_key_arn           = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
  engine_version        = "17"
  instance_class        = "db.m7g.large"
  storage_gib           = 100
  max_storage_gib       = 1000
  multi_az              = true
  backup_retention_days = 14
  deletion_protection   = true
  log_retention_days    = 365
}

run "the_database_is_private_encrypted_and_survives_a_zone" {
  command = plan

  module {
    source = "./modules/database"
  }

  assert {
    condition     = aws_db_instance.this.publicly_accessible == false && aws_db_instance.this.vpc_security_group_ids == toset([aws_security_group.this.id])
    error_message = "Only through its own security group may it be reached."
  }
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn
    error_message = "Its storage is encrypted with our key."
  }
  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "It has a standby, and is not deleted by mistake or without a snapshot."
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14 && !aws_db_instance.this.delete_automated_backups
    error_message = "Backups are kept, even when the database is gone."
  }
  assert {
    condition     = anytrue([for one in aws_db_parameter_group.this.parameter : one.name == "rds.force_ssl" && one.value == "1"]) && aws_db_parameter_group.this.family == "postgres17"
    error_message = "Connections without TLS are refused, by parameters of its own version."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.this.referenced_security_group_id == "sg-22222222" && aws_vpc_security_group_ingress_rule.this.from_port == 5432 && aws_vpc_security_group_ingress_rule.this.to_port == 5432
    error_message = "Only the service may connect, and only to PostgreSQL."
  }
  assert {
    condition     = aws_db_instance.this.password_wo_version == 3 && aws_db_instance.this.password == null
    error_message = "The password is written and not kept; its version says when anew."
  }
}

run "the_cache_wants_tls_and_a_password" {
  command = plan

  module {
    source = "./modules/cache"
  }
  variables {
    node_type = "cache.t4g.small"
    nodes     = 2
  }

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.transit_encryption_mode == "required"
    error_message = "Without TLS nobody gets in."
  }
  assert {
    condition     = aws_elasticache_replication_group.this.auth_token_wo_version == 3 && aws_elasticache_replication_group.this.auth_token == null
    error_message = "The password is written and not kept."
  }
  assert {
    condition     = aws_elasticache_replication_group.this.at_rest_encryption_enabled == "true" && aws_elasticache_replication_group.this.kms_key_id == var.kms_key_arn
    error_message = "What it writes to disk is encrypted with our key."
  }
  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled && aws_elasticache_replication_group.this.num_cache_clusters == 2
    error_message = "It survives the loss of a node and of a zone."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.this.referenced_security_group_id == "sg-22222222" && aws_vpc_security_group_ingress_rule.this.from_port == 6379
    error_message = "Only the service may connect."
  }
}

run "secrets_are_made_for_each_thing_the_service_must_know" {
  command = plan

  module {
    source = "./modules/secrets"
  }
  variables {
    recovery_days = 30
    values = {
      database-url  = "postgres://test"
      redis-url     = "rediss://test"
      admin-token   = "test"
      metrics-token = "test"
    }
  }

  assert {
    condition     = toset(keys(output.arns)) == toset(["admin-token", "database-url", "metrics-token", "redis-url"])
    error_message = "There must be a secret for each."
  }
  assert {
    condition     = alltrue([for one in aws_secretsmanager_secret.this : one.kms_key_id == var.kms_key_arn && one.recovery_window_in_days == 30])
    error_message = "They are encrypted with our key, and can be brought back."
  }
  assert {
    condition     = alltrue([for one in aws_secretsmanager_secret_version.this : one.secret_string_wo_version == 3 && one.secret_string == null])
    error_message = "What they hold is written and not kept."
  }
}

run "a_pushed_image_stays_what_it_is" {
  command = plan

  module {
    source = "./modules/registry"
  }
  variables {
    name        = "enchufe/test"
    keep_images = 50
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "A tag never moves, and every image is scanned."
  }
  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this.policy).rules[1].selection.countNumber == 50
    error_message = "As many images are kept as asked for."
  }
}

run "the_key_turns_and_only_our_logs_may_use_it" {
  command = plan

  module {
    source = "./modules/key"
  }
  variables {
    account_id = "111122223333"
    region     = "eu-south-2"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key is turned every year."
  }
  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] == "arn:aws:logs:eu-south-2:111122223333:log-group:*"
    error_message = "CloudWatch may use it for log groups of this account and region only."
  }
}
