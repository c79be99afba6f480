variable "name" {
  description = "What everything here is called."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The region."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The account."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
  nullable    = false
}

variable "vpc_cidr" {
  description = "The VPC's addresses, where the database and the cache are."
  type        = string
  nullable    = false
}

variable "public_subnet_ids" {
  description = "Where the balancer stands."
  type        = list(string)
  nullable    = false
}

variable "private_subnet_ids" {
  description = "Where the tasks run."
  type        = list(string)
  nullable    = false
}

variable "certificate_arn" {
  description = "The certificate for the name people and chargers use."
  type        = string
  nullable    = false
}

variable "public_url" {
  description = "The address people use, https://…"
  type        = string
  nullable    = false
}

variable "ingress_cidrs" {
  description = "From where the balancer may be reached."
  type        = set(string)
  nullable    = false
}

variable "image" {
  description = "What runs, with its version or digest."
  type        = string
  nullable    = false
}

variable "cpu" {
  description = "A task's share of a processor, in 1024ths."
  type        = number
  nullable    = false
}

variable "memory" {
  description = "A task's memory, in MiB."
  type        = number
  nullable    = false
}

variable "architecture" {
  description = "ARM64 or X86_64."
  type        = string
  nullable    = false
}

variable "min_tasks" {
  description = "Fewest tasks."
  type        = number
  nullable    = false
}

variable "max_tasks" {
  description = "Most tasks."
  type        = number
  nullable    = false
}

variable "settings" {
  description = "Settings of the service, as variables of its environment."
  type        = map(string)
  nullable    = false
}

variable "scrapers" {
  description = "Who may read the metrics: names, and security groups."
  type        = map(string)
  nullable    = false
}

variable "secret_arns" {
  description = "The service's secrets, by name."
  type        = map(string)
  nullable    = false
}

variable "password_version" {
  description = "When it changes, tasks are started anew to read the secrets."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts secrets and logs."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the balancer and its logs refuse to be deleted."
  type        = bool
  nullable    = false
}
