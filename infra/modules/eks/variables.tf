variable "name" {
  description = "What everything here is called."
  type        = string
  nullable    = false
}

variable "kubernetes_version" {
  description = "Kubernetes, as major.minor."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets in different zones, for nodes and the API's addresses."
  type        = list(string)
  nullable    = false
}

variable "public_access_cidrs" {
  description = "From where the API may be reached over the internet; empty for nowhere."
  type        = set(string)
  nullable    = false
}

variable "administrators" {
  description = "Who administers the cluster: names, and ARNs of roles or users."
  type        = map(string)
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts Kubernetes' secrets and the logs."
  type        = string
  nullable    = false
}

variable "secret_arns" {
  description = "The secrets that the External Secrets Operator may read."
  type        = list(string)
  nullable    = false
}

variable "log_retention_days" {
  description = "How long the cluster's logs are kept."
  type        = number
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the cluster refuses to be deleted."
  type        = bool
  nullable    = false
}
