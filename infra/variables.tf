variable "account_id" {
  description = "The AWS account this is meant for. With credentials of another one nothing is done."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id has twelve digits, such as 111122223333."
  }
}

variable "region" {
  description = "The AWS region. It needs three availability zones."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is written like eu-south-2."
  }
}

variable "environment" {
  description = "What this network is called. It becomes part of every name, so two fit into one account."
  type        = string
  default     = "production"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.environment))
    error_message = "environment has 3 to 20 lower-case letters, digits and dashes, begins with a letter and ends with none of the dashes: names on AWS are made of it."
  }
}

variable "tags" {
  description = "Tags that everything gets, besides Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.tags) : !startswith(lower(name), "aws:")])
    error_message = "Tags that begin with aws: are AWS' own; choose other names."
  }
}

variable "platform" {
  description = "Where the service runs: eks (Kubernetes, with the Helm chart and Argo CD) or ecs (Fargate; everything is here)."
  type        = string
  default     = "eks"
  nullable    = false

  validation {
    condition     = contains(["eks", "ecs"], var.platform)
    error_message = "platform is eks or ecs."
  }
}

variable "deletion_protection" {
  description = "Whether the database, the cluster and the balancer refuse to be deleted. Turn it off in an apply of its own before a destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "vpc_cidr" {
  description = "The addresses of the VPC. Sixteenths of it become three public, three private and three data subnets."
  type        = string
  default     = "10.40.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr is an IPv4 network between /16 and /20, such as 10.40.0.0/16."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, so that losing one zone does not cut off the others. With false there is one, for a third of the price."
  type        = bool
  default     = true
  nullable    = false
}

variable "interface_endpoints" {
  description = "AWS services reached without leaving the VPC, such as ecr.api, ecr.dkr, logs, secretsmanager. Each costs by the hour and zone; S3 is always among them and free."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.interface_endpoints : can(regex("^[a-z0-9][a-z0-9.-]*$", name))])
    error_message = "An interface endpoint is named like ecr.api, without com.amazonaws and the region."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps logs: flow logs, the cluster's, the cache's, the service's."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's steps, from 30 on: 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, …"
  }
}

variable "keep_images" {
  description = "How many released images the registry keeps. Older ones are deleted."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.keep_images >= 5 && var.keep_images <= 1000 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images is a whole number from 5 to 1000."
  }
}

variable "password_version" {
  description = "Raise it by one to make all passwords and tokens anew: the database's, the cache's, the administrator's and the scraper's. Restart the service afterwards."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.password_version >= 1 && floor(var.password_version) == var.password_version
    error_message = "password_version is a whole number from 1 on, and only ever grows."
  }
}

variable "database" {
  description = "PostgreSQL on RDS: version, size, and how it survives. ssl_mode is verify-full where the image has Amazon's certificates for RDS, else require."
  type = object({
    engine_version        = optional(string, "17")
    instance_class        = optional(string, "db.m7g.large")
    storage_gib           = optional(number, 100)
    max_storage_gib       = optional(number, 1000)
    multi_az              = optional(bool, true)
    backup_retention_days = optional(number, 14)
    ssl_mode              = optional(string, "require")
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^1[5-9](\\.[0-9]+)?$", var.database.engine_version))
    error_message = "database.engine_version is PostgreSQL 15 or newer, as 17 or 17.5."
  }
  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.database.instance_class))
    error_message = "database.instance_class is written like db.m7g.large."
  }
  validation {
    condition     = var.database.storage_gib >= 20 && var.database.max_storage_gib >= var.database.storage_gib && var.database.max_storage_gib <= 65536
    error_message = "database.storage_gib is at least 20, and max_storage_gib between that and 65536."
  }
  validation {
    condition     = var.database.backup_retention_days >= 7 && var.database.backup_retention_days <= 35
    error_message = "database.backup_retention_days is 7 to 35: what is billed lies there."
  }
  validation {
    condition     = contains(["require", "verify-ca", "verify-full"], var.database.ssl_mode)
    error_message = "database.ssl_mode is require, verify-ca or verify-full: the database refuses connections without TLS."
  }
}

variable "cache" {
  description = "Redis on ElastiCache: the kind of node and how many, one of which takes writes."
  type = object({
    node_type = optional(string, "cache.t4g.small")
    nodes     = optional(number, 2)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.cache.node_type))
    error_message = "cache.node_type is written like cache.t4g.small."
  }
  validation {
    condition     = var.cache.nodes >= 2 && var.cache.nodes <= 6 && floor(var.cache.nodes) == var.cache.nodes
    error_message = "cache.nodes is 2 to 6: with one there is nothing to fail over to."
  }
}

variable "kubernetes_version" {
  description = "The cluster's Kubernetes, as major.minor. EKS brings the nodes after it."
  type        = string
  default     = "1.35"
  nullable    = false

  validation {
    condition     = can(regex("^1\\.(3[3-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version is 1.33 or newer, written like 1.35."
  }
}

variable "kubernetes_api_cidrs" {
  description = "From where the cluster's API may be reached over the internet. Empty: only from within the VPC."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.kubernetes_api_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "kubernetes_api_cidrs holds IPv4 networks such as 203.0.113.0/24, and never all of the internet."
  }
}

variable "kubernetes_administrators" {
  description = "Who administers the cluster: a name of yours, and the ARN of an IAM role or user. Nobody else does, not even who made it."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for arn in values(var.kubernetes_administrators) : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "kubernetes_administrators holds ARNs such as arn:aws:iam::111122223333:role/platform."
  }
  validation {
    condition     = var.platform != "eks" || length(var.kubernetes_administrators) > 0
    error_message = "With platform eks name at least one administrator, or nobody gets into the cluster."
  }
}

variable "service" {
  description = "With platform ecs: what runs, how large, how many, and who may reach it. settings are variables of docs/configuration.md; scrapers are security groups that may read the metrics."
  type = object({
    image           = optional(string)
    certificate_arn = optional(string, "")
    public_url      = optional(string, "")
    ingress_cidrs   = optional(set(string), ["0.0.0.0/0"])
    cpu             = optional(number, 1024)
    memory          = optional(number, 2048)
    architecture    = optional(string, "ARM64")
    min_tasks       = optional(number, 2)
    max_tasks       = optional(number, 6)
    settings        = optional(map(string), {})
    scrapers        = optional(map(string), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.service.image == null || can(regex("(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$", var.service.image)) && !endswith(coalesce(var.service.image, "-"), ":latest")
    error_message = "service.image ends in a version or a digest, and never in :latest: one must know what runs."
  }
  validation {
    condition     = var.platform != "ecs" || var.service.image != null && can(regex("^arn:aws[a-z-]*:acm:", var.service.certificate_arn)) && startswith(var.service.public_url, "https://")
    error_message = "With platform ecs say what runs (service.image), the ARN of an ACM certificate (service.certificate_arn) and the address people use (service.public_url, https://…)."
  }
  validation {
    condition     = alltrue([for cidr in var.service.ingress_cidrs : can(cidrnetmask(cidr))])
    error_message = "service.ingress_cidrs holds IPv4 networks such as 0.0.0.0/0 or 203.0.113.0/24."
  }
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.service.cpu) && var.service.memory >= 512 && var.service.memory % 512 == 0
    error_message = "service.cpu is one of Fargate's sizes (256, 512, 1024, …), and service.memory a multiple of 512 MiB that fits it."
  }
  validation {
    condition     = contains(["ARM64", "X86_64"], var.service.architecture)
    error_message = "service.architecture is ARM64 or X86_64."
  }
  validation {
    condition     = var.service.min_tasks >= 2 && var.service.max_tasks >= var.service.min_tasks && var.service.max_tasks <= 100
    error_message = "service.min_tasks is at least 2, so that one may be replaced, and max_tasks between that and 100."
  }
  validation {
    condition     = alltrue([for name in keys(var.service.settings) : can(regex("^ENCHUFE_[A-Z_]+$", name)) && !can(regex("TOKEN|API_KEY|DATABASE_URL|REDIS_URL", name))])
    error_message = "service.settings are variables that begin with ENCHUFE_, and no secrets: those come from Secrets Manager."
  }
}

variable "pipeline" {
  description = "The GitHub repository whose workflows may push images. Null: none may. GitHub is made known to an account once: create_oidc_provider is false if it is already."
  type = object({
    repository           = string
    create_oidc_provider = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.pipeline == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.pipeline.repository))
    error_message = "pipeline.repository is written like owner/name."
  }
}
