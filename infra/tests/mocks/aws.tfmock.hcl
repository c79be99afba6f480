# What AWS would answer, as far as something else is made of it: a name or an ARN that looks like one.
# Everything else Terraform invents.

mock_data "aws_availability_zones" {
  defaults = {
    names = ["eu-south-2a", "eu-south-2b", "eu-south-2c", "eu-south-2d"]
  }
}

mock_resource "aws_kms_key" {
  override_during = plan
  defaults = {
    arn    = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
    key_id = "11111111-1111-1111-1111-111111111111"
  }
}

mock_resource "aws_vpc" {
  override_during = plan
  defaults        = { id = "vpc-11111111" }
}

mock_resource "aws_security_group" {
  override_during = plan
  defaults        = { id = "sg-11111111" }
}

mock_resource "aws_cloudwatch_log_group" {
  override_during = plan
  defaults        = { arn = "arn:aws:logs:eu-south-2:111122223333:log-group:mocked" }
}

mock_resource "aws_iam_role" {
  override_during = plan
  defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
}

mock_resource "aws_ecr_repository" {
  override_during = plan
  defaults = {
    arn            = "arn:aws:ecr:eu-south-2:111122223333:repository/mocked"
    repository_url = "111122223333.dkr.ecr.eu-south-2.amazonaws.com/mocked"
  }
}

mock_resource "aws_secretsmanager_secret" {
  override_during = plan
  defaults = {
    arn = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:mocked-AbCdEf"
    id  = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:mocked-AbCdEf"
  }
}

mock_resource "aws_s3_bucket" {
  override_during = plan
  defaults = {
    arn = "arn:aws:s3:::mocked"
    id  = "mocked"
  }
}

mock_resource "aws_lb" {
  override_during = plan
  defaults = {
    arn      = "arn:aws:elasticloadbalancing:eu-south-2:111122223333:loadbalancer/app/mocked/1111111111111111"
    dns_name = "mocked.eu-south-2.elb.amazonaws.com"
  }
}

mock_resource "aws_lb_target_group" {
  override_during = plan
  defaults        = { arn = "arn:aws:elasticloadbalancing:eu-south-2:111122223333:targetgroup/mocked/1111111111111111" }
}

mock_resource "aws_ecs_cluster" {
  override_during = plan
  defaults = {
    arn = "arn:aws:ecs:eu-south-2:111122223333:cluster/mocked"
    id  = "arn:aws:ecs:eu-south-2:111122223333:cluster/mocked"
  }
}

mock_resource "aws_ecs_task_definition" {
  override_during = plan
  defaults        = { arn = "arn:aws:ecs:eu-south-2:111122223333:task-definition/mocked:1" }
}

mock_resource "aws_service_discovery_service" {
  override_during = plan
  defaults        = { arn = "arn:aws:servicediscovery:eu-south-2:111122223333:service/srv-mocked" }
}
