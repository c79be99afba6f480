# Each rule of a variable refuses what breaks it.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id                = "111122223333"
  region                    = "eu-south-2"
  environment               = "test"
  kubernetes_administrators = { platform = "arn:aws:iam::111122223333:role/platform" }
}

run "account_id" {
  command = plan

  variables {
    account_id = "1234"
  }

  expect_failures = [var.account_id]
}

run "region" {
  command = plan

  variables {
    region = "Spain"
  }

  expect_failures = [var.region]
}

run "environment" {
  command = plan

  variables {
    environment = "Production!"
  }

  expect_failures = [var.environment]
}

run "tags" {
  command = plan

  variables {
    tags = { "aws:owner" = "me" }
  }

  expect_failures = [var.tags]
}

run "platform" {
  command = plan

  variables {
    platform = "nomad"
  }

  expect_failures = [var.platform]
}

run "vpc_cidr_too_small" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "vpc_cidr_no_network" {
  command = plan

  variables {
    vpc_cidr = "ten"
  }

  expect_failures = [var.vpc_cidr]
}

run "interface_endpoints" {
  command = plan

  variables {
    interface_endpoints = ["ECR API"]
  }

  expect_failures = [var.interface_endpoints]
}

run "log_retention_days" {
  command = plan

  variables {
    log_retention_days = 100
  }

  expect_failures = [var.log_retention_days]
}

run "keep_images" {
  command = plan

  variables {
    keep_images = 1
  }

  expect_failures = [var.keep_images]
}

run "password_version" {
  command = plan

  variables {
    password_version = 0
  }

  expect_failures = [var.password_version]
}

run "database_version" {
  command = plan

  variables {
    database = { engine_version = "12" }
  }

  expect_failures = [var.database]
}

run "database_class" {
  command = plan

  variables {
    database = { instance_class = "large" }
  }

  expect_failures = [var.database]
}

run "database_storage" {
  command = plan

  variables {
    database = { storage_gib = 200, max_storage_gib = 100 }
  }

  expect_failures = [var.database]
}

run "database_backups" {
  command = plan

  variables {
    database = { backup_retention_days = 0 }
  }

  expect_failures = [var.database]
}

run "database_tls" {
  command = plan

  variables {
    database = { ssl_mode = "disable" }
  }

  expect_failures = [var.database]
}

run "cache_node_type" {
  command = plan

  variables {
    cache = { node_type = "small" }
  }

  expect_failures = [var.cache]
}

run "cache_nodes" {
  command = plan

  variables {
    cache = { nodes = 1 }
  }

  expect_failures = [var.cache]
}

run "kubernetes_version" {
  command = plan

  variables {
    kubernetes_version = "1.24"
  }

  expect_failures = [var.kubernetes_version]
}

run "kubernetes_api_cidrs" {
  command = plan

  variables {
    kubernetes_api_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.kubernetes_api_cidrs]
}

run "kubernetes_administrators_nobody" {
  command = plan

  variables {
    kubernetes_administrators = {}
  }

  expect_failures = [var.kubernetes_administrators]
}

run "kubernetes_administrators_no_arn" {
  command = plan

  variables {
    kubernetes_administrators = { me = "me" }
  }

  expect_failures = [var.kubernetes_administrators]
}

run "service_latest" {
  command = plan

  variables {
    service = { image = "enchufe:latest" }
  }

  expect_failures = [var.service]
}

run "service_missing" {
  command = plan

  variables {
    platform = "ecs"
  }

  expect_failures = [var.service]
}

run "service_cidrs" {
  command = plan

  variables {
    service = { ingress_cidrs = ["everywhere"] }
  }

  expect_failures = [var.service]
}

run "service_cpu" {
  command = plan

  variables {
    service = { cpu = 1000 }
  }

  expect_failures = [var.service]
}

run "service_architecture" {
  command = plan

  variables {
    service = { architecture = "riscv" }
  }

  expect_failures = [var.service]
}

run "service_min_tasks" {
  command = plan

  variables {
    service = { min_tasks = 1 }
  }

  expect_failures = [var.service]
}

run "service_secret_setting" {
  command = plan

  variables {
    service = { settings = { ENCHUFE_ADMIN_TOKEN = "in the open" } }
  }

  expect_failures = [var.service]
}

run "pipeline" {
  command = plan

  variables {
    pipeline = { repository = "enchufe" }
  }

  expect_failures = [var.pipeline]
}
