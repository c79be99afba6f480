mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id                = "111122223333"
  region                    = "eu-south-2"
  environment               = "test"
  kubernetes_administrators = { platform = "arn:aws:iam::111122223333:role/platform" }
}

run "kubernetes_unless_asked_otherwise" {
  command = plan

  assert {
    condition     = output.cluster_name == "enchufe-test" && output.balancer_dns_name == null
    error_message = "With platform eks there is a cluster, and no service on ECS."
  }
  assert {
    condition     = length(output.secret_arns) == 4
    error_message = "The service's secrets must be there."
  }
}

run "ecs_instead" {
  command = plan

  variables {
    platform = "ecs"
    service = {
      image           = "ghcr.io/your-organisation/enchufe:0.1.0"
      certificate_arn = "arn:aws:acm:eu-south-2:111122223333:certificate/11111111-1111-1111-1111-111111111111"
      public_url      = "https://charging.example.org"
    }
  }

  assert {
    condition     = output.cluster_name == null && output.balancer_dns_name != null && output.metrics_dns_name == "metrics.enchufe-test.internal"
    error_message = "With platform ecs there is a balancer, and no cluster."
  }
}

run "the_clusters_api_is_not_on_the_internet" {
  command = plan

  module {
    source = "./modules/eks"
  }
  variables {
    name                = "enchufe-test"
    kubernetes_version  = "1.35"
    subnet_ids          = ["subnet-1", "subnet-2", "subnet-3"]
    public_access_cidrs = []
    administrators      = { platform = "arn:aws:iam::111122223333:role/platform" }
    kms_key_arn         = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
    secret_arns         = ["arn:aws:secretsmanager:eu-south-2:111122223333:secret:one-AbCdEf"]
    log_retention_days  = 365
    deletion_protection = true
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "Without networks to let in, the API is private."
  }
  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.kms_key_arn && length(aws_eks_cluster.this.enabled_cluster_log_types) == 5
    error_message = "Kubernetes' secrets are encrypted with our key, and everything is logged."
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions && length(aws_eks_access_policy_association.administrator) == 1
    error_message = "Who is named administers the cluster, and nobody else."
  }
  assert {
    condition     = aws_eks_cluster.this.compute_config[0].enabled && aws_eks_cluster.this.storage_config[0].block_storage[0].enabled && aws_eks_cluster.this.kubernetes_network_config[0].elastic_load_balancing[0].enabled
    error_message = "Auto Mode wants all three, or none."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.external_secrets.policy).Statement[0].Resource == ["arn:aws:secretsmanager:eu-south-2:111122223333:secret:one-AbCdEf"]
    error_message = "The operator reads the secrets named, and no others."
  }
}

run "named_networks_reach_the_clusters_api" {
  command = plan

  module {
    source = "./modules/eks"
  }
  variables {
    name                = "enchufe-test"
    kubernetes_version  = "1.35"
    subnet_ids          = ["subnet-1", "subnet-2", "subnet-3"]
    public_access_cidrs = ["203.0.113.0/24"]
    administrators      = {}
    kms_key_arn         = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
    secret_arns         = []
    log_retention_days  = 365
    deletion_protection = true
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.0/24"])
    error_message = "Only the networks named are let in."
  }
}

run "a_task_is_what_the_server_expects" {
  command = plan

  module {
    source = "./modules/ecs"
  }
  variables {
    name                = "enchufe-test"
    vpc_id              = "vpc-11111111"
    vpc_cidr            = "10.40.0.0/16"
    public_subnet_ids   = ["subnet-1", "subnet-2", "subnet-3"]
    private_subnet_ids  = ["subnet-4", "subnet-5", "subnet-6"]
    certificate_arn     = "arn:aws:acm:eu-south-2:111122223333:certificate/11111111-1111-1111-1111-111111111111"
    public_url          = "https://charging.example.org"
    ingress_cidrs       = ["0.0.0.0/0"]
    image               = "ghcr.io/your-organisation/enchufe:0.1.0"
    cpu                 = 1024
    memory              = 2048
    architecture        = "ARM64"
    min_tasks           = 2
    max_tasks           = 6
    settings            = { ENCHUFE_LOG = "debug", ENCHUFE_DATA_DIR = "/elsewhere" }
    scrapers            = { prometheus = "sg-33333333" }
    password_version    = 4
    kms_key_arn         = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
    log_retention_days  = 365
    deletion_protection = true
    secret_arns = {
      admin-token   = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:admin-AbCdEf"
      database-url  = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:database-AbCdEf"
      metrics-token = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:metrics-AbCdEf"
      redis-url     = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:redis-AbCdEf"
    }
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.this.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]
    error_message = "The container can write nowhere but in its volume, and may nothing special."
  }
  assert {
    condition     = { for one in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : one.name => one.value } == { ENCHUFE_DATA_DIR = "/data", ENCHUFE_LOG = "debug", ENCHUFE_LOG_FORMAT = "json", ENCHUFE_PUBLIC_URL = "https://charging.example.org", ENCHUFE_SHUTDOWN_TIMEOUT = "25s" }
    error_message = "Settings are as given, but for those that this depends on."
  }
  assert {
    condition     = { for one in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : one.name => one.valueFrom }["ENCHUFE_DATABASE_URL"] == "arn:aws:secretsmanager:eu-south-2:111122223333:secret:database-AbCdEf"
    error_message = "Secrets come from Secrets Manager, each where it belongs."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].dockerLabels["password-version"] == "4"
    error_message = "New passwords must make new tasks."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].stopTimeout == 30 && aws_lb_target_group.this.deregistration_delay == "30"
    error_message = "A stop must be given longer than the server takes (25 s)."
  }
  assert {
    condition     = aws_lb.this.idle_timeout > 45 && aws_lb_target_group.this.health_check[0].path == "/healthz"
    error_message = "The balancer must outwait the server's pings, and ask for readiness."
  }
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.http.default_action[0].type == "redirect"
    error_message = "Outside there is only HTTPS."
  }
  assert {
    condition     = aws_ecs_service.this.network_configuration[0].assign_public_ip == false && aws_ecs_service.this.deployment_circuit_breaker[0].rollback && aws_ecs_service.this.deployment_minimum_healthy_percent == 100
    error_message = "Tasks have no public address, and a bad version is taken back."
  }
  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.metrics) == ["prometheus"] && aws_vpc_security_group_ingress_rule.metrics["prometheus"].from_port == 8000
    error_message = "Metrics are for who is named."
  }
}

run "only_the_environments_jobs_push" {
  command = plan

  module {
    source = "./modules/pipeline"
  }
  variables {
    name                 = "enchufe-test"
    repository           = "your-organisation/enchufe"
    create_oidc_provider = true
    registry_arn         = "arn:aws:ecr:eu-south-2:111122223333:repository/enchufe/test"
    kms_key_arn          = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition == { StringEquals = { "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com", "token.actions.githubusercontent.com:sub" = "repo:your-organisation/enchufe:environment:test" } }
    error_message = "One repository and one environment, without a pattern."
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_iam_role_policy.push.policy).Statement : one.Resource != "*" || one.Action == "ecr:GetAuthorizationToken"])
    error_message = "What it may do is bound to the repository of images."
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1 && aws_iam_openid_connect_provider.github[0].url == "https://token.actions.githubusercontent.com"
    error_message = "GitHub must be made known to the account."
  }
}
