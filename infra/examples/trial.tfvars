# As small as it goes, to be thrown away again: one NAT gateway, a small database without a standby.
account_id          = "111122223333"
region              = "eu-south-2"
environment         = "trial"
deletion_protection = false
nat_per_zone        = false
log_retention_days  = 30

platform                  = "eks"
kubernetes_api_cidrs      = ["203.0.113.0/24"]
kubernetes_administrators = { platform = "arn:aws:iam::111122223333:role/platform" }

database = {
  instance_class        = "db.t4g.small"
  storage_gib           = 20
  max_storage_gib       = 50
  multi_az              = false
  backup_retention_days = 7
}
cache = { node_type = "cache.t4g.micro" }
