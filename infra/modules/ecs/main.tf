# The service on Fargate: no machines, no cluster to keep. Several tasks over three zones behind a
# balancer that ends TLS; they are one network through PostgreSQL and Redis.

locals {
  container = "enchufe"
  api_port  = 8081
  metrics   = 8000
  # Where a task may write: the image's volume, which belongs to its user. Nothing there outlives a task.
  data_dir = "/data"
  # The server's own bound for a stop, and what ECS gives it: a little more.
  shutdown_seconds = 25
  stop_seconds     = 30

  secrets = {
    ENCHUFE_DATABASE_URL  = var.secret_arns["database-url"]
    ENCHUFE_REDIS_URL     = var.secret_arns["redis-url"]
    ENCHUFE_ADMIN_TOKEN   = var.secret_arns["admin-token"]
    ENCHUFE_METRICS_TOKEN = var.secret_arns["metrics-token"]
  }
  settings = merge(
    { ENCHUFE_LOG_FORMAT = "json" },
    var.settings,
    {
      ENCHUFE_DATA_DIR         = local.data_dir
      ENCHUFE_PUBLIC_URL       = var.public_url
      ENCHUFE_SHUTDOWN_TIMEOUT = "${local.shutdown_seconds}s"
    },
  )
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/enchufe/${var.name}/service"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "data"
  }

  container_definitions = jsonencode([{
    name                   = local.container
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = local.stop_seconds

    environment = [for name, value in local.settings : { name = name, value = value }]
    secrets     = [for name, arn in local.secrets : { name = name, valueFrom = arn }]
    mountPoints = [{ sourceVolume = "data", containerPath = local.data_dir, readOnly = false }]
    portMappings = [
      { name = "api", containerPort = local.api_port, protocol = "tcp" },
      { name = "metrics", containerPort = local.metrics, protocol = "tcp" },
    ]
    # A file for each connection, and the chargers are many.
    ulimits         = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    linuxParameters = { initProcessEnabled = false, capabilities = { drop = ["ALL"] } }

    healthCheck = {
      command     = ["CMD", "/usr/local/bin/enchufe", "healthcheck"]
      interval    = 30
      timeout     = 5
      retries     = 5
      startPeriod = 30
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = var.region
        awslogs-stream-prefix = "enchufe"
      }
    }
    # Tasks read secrets when they start: a new version of them makes new tasks.
    dockerLabels = { password-version = tostring(var.password_version) }
  }])
}

resource "aws_ecs_service" "this" {
  name            = "enchufe"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this.arn
  launch_type     = "FARGATE"
  desired_count   = var.min_tasks

  # New tasks first, old ones after; what does not become healthy is taken back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  availability_zone_rebalancing      = "ENABLED"
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [aws_security_group.service.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = local.container
    container_port   = local.api_port
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this.arn
  }

  lifecycle {
    # The autoscaler's to say.
    ignore_changes = [desired_count]
  }

  depends_on = [aws_lb_listener.https, aws_iam_role_policy.execution]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "this" {
  for_each = {
    processor = { metric = "ECSServiceAverageCPUUtilization", target = 60 }
    memory    = { metric = "ECSServiceAverageMemoryUtilization", target = 70 }
  }

  name               = "${var.name}-${each.key}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = each.value.target
    # Quickly up. Slowly down: a task that goes sends its chargers to the others.
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    predefined_metric_specification {
      predefined_metric_type = each.value.metric
    }
  }
}
