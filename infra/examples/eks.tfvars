# A network on Kubernetes, as docs/aws.md leads to it. Copy it, and change what is yours.
account_id  = "111122223333"
region      = "eu-south-2"
environment = "production"

platform                  = "eks"
kubernetes_api_cidrs      = ["203.0.113.0/24"]
kubernetes_administrators = { platform = "arn:aws:iam::111122223333:role/platform" }

pipeline = { repository = "your-organisation/enchufe" }
