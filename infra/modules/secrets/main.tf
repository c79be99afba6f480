# What the service must know and nobody else. The values are written and not kept in the state.

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:A password must change here and in the database or cache at once, then the servers restart: that is an apply with a raised password_version, not a function that runs by itself.
  for_each = toset(local.names)

  name                    = "${var.name}/${each.value}"
  description             = local.meanings[each.value]
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = toset(local.names)

  secret_id                = aws_secretsmanager_secret.this[each.value].id
  secret_string_wo         = var.values[each.value]
  secret_string_wo_version = var.password_version
}

locals {
  meanings = {
    database-url  = "ENCHUFE_DATABASE_URL"
    redis-url     = "ENCHUFE_REDIS_URL"
    admin-token   = "ENCHUFE_ADMIN_TOKEN: the administrator of the API"
    metrics-token = "ENCHUFE_METRICS_TOKEN: what Prometheus presents"
  }
  names = keys(local.meanings)
}
