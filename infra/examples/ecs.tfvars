# A network on Fargate: everything is in Terraform, there is no cluster to keep.
account_id  = "111122223333"
region      = "eu-south-2"
environment = "production"

platform = "ecs"
service = {
  image           = "ghcr.io/your-organisation/enchufe:0.1.0"
  certificate_arn = "arn:aws:acm:eu-south-2:111122223333:certificate/00000000-0000-0000-0000-000000000000"
  public_url      = "https://charging.example.org"
  settings        = { ENCHUFE_HEARTBEAT_INTERVAL = "5m" }
}

pipeline = { repository = "your-organisation/enchufe" }
