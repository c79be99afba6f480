variable "name" {
  description = "What everything here is called."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets in different zones, without the internet."
  type        = list(string)
  nullable    = false
}

variable "client_security_group" {
  description = "The security group of those who may connect."
  type        = string
  nullable    = false
}

variable "password" {
  description = "The service's password. Not kept in the state."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "password_version" {
  description = "The password is set when this changes."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts memory's copies on disk and the logs."
  type        = string
  nullable    = false
}

variable "node_type" {
  description = "How large a node."
  type        = string
  nullable    = false
}

variable "nodes" {
  description = "How many nodes, one of which takes writes."
  type        = number
  nullable    = false
}

variable "log_retention_days" {
  description = "How long the slow log is kept."
  type        = number
  nullable    = false
}
