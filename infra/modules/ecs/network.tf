# Whom the service's tasks may speak to, and under which name Prometheus finds them.

resource "aws_security_group" "service" {
  name        = "${var.name}-service"
  description = "The service's tasks"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-service" }
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  security_group_id            = aws_security_group.service.id
  description                  = "API and chargers, through the balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.api_port
  to_port                      = local.api_port
}

resource "aws_vpc_security_group_ingress_rule" "metrics" {
  for_each = var.scrapers

  security_group_id            = aws_security_group.service.id
  description                  = "Metrics, for ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.metrics
  to_port                      = local.metrics
}

resource "aws_vpc_security_group_egress_rule" "data" {
  for_each = { PostgreSQL = 5432, Redis = 6379 }

  security_group_id = aws_security_group.service.id
  description       = "${each.key}, in the VPC"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.service.id
  description       = "Images, secrets, logs, and a language model if there is one"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${var.name}.internal"
  description = "Each task by its address, for who scrapes it"
  vpc         = var.vpc_id
}

resource "aws_service_discovery_service" "this" {
  name = "metrics"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}
