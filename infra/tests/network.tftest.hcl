mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                = "enchufe-test"
  region              = "eu-south-2"
  cidr                = "10.40.0.0/16"
  nat_per_zone        = true
  interface_endpoints = []
  kms_key_arn         = "arn:aws:kms:eu-south-2:111122223333:key/11111111-1111-1111-1111-111111111111"
  log_retention_days  = 365
}

run "three_zones" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition = (
      length(distinct(values(aws_subnet.public)[*].availability_zone)) == 3 &&
      length(distinct(values(aws_subnet.private)[*].availability_zone)) == 3 &&
      length(distinct(values(aws_subnet.data)[*].availability_zone)) == 3
    )
    error_message = "Each kind of subnet must be in three zones."
  }
  assert {
    condition = length(distinct(concat(
      values(aws_subnet.public)[*].cidr_block,
      values(aws_subnet.private)[*].cidr_block,
      values(aws_subnet.data)[*].cidr_block,
    ))) == 9
    error_message = "Two subnets have the same addresses."
  }
  assert {
    condition     = alltrue([for subnet in values(aws_subnet.public) : subnet.map_public_ip_on_launch == false])
    error_message = "Nothing gets a public address by being started."
  }
  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn
    error_message = "All traffic is logged, encrypted."
  }
}

run "a_way_out_for_each_zone" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_route.private) == 3
    error_message = "Each zone must have its own way out."
  }
  assert {
    # What is kept has no route of its own: only the VPC's local one.
    condition     = alltrue([for route in [aws_route.public.destination_cidr_block] : route == "0.0.0.0/0"]) && length(aws_route_table_association.data) == 3
    error_message = "The data subnets must have their own table, without a way out."
  }
}

run "one_way_out_when_it_is_to_be_cheap" {
  command = plan

  module {
    source = "./modules/network"
  }
  variables {
    nat_per_zone = false
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-south-2a"] && length(aws_route.private) == 3
    error_message = "There must be one NAT gateway, and every private subnet must still reach it."
  }
}

run "endpoints_are_closed_to_the_outside" {
  command = plan

  module {
    source = "./modules/network"
  }
  variables {
    interface_endpoints = ["ecr.api", "logs"]
  }

  assert {
    condition     = toset(values(aws_vpc_endpoint.interface)[*].service_name) == toset(["com.amazonaws.eu-south-2.ecr.api", "com.amazonaws.eu-south-2.logs"])
    error_message = "An endpoint must be made for each service asked for."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == "10.40.0.0/16" && aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443
    error_message = "Endpoints are for the VPC alone, and speak HTTPS alone."
  }
}
