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
  description = "The key that encrypts what is kept."
  type        = string
  nullable    = false
}

variable "engine_version" {
  description = "PostgreSQL's version."
  type        = string
  nullable    = false
}

variable "instance_class" {
  description = "How large a machine."
  type        = string
  nullable    = false
}

variable "storage_gib" {
  description = "Storage to begin with, in GiB."
  type        = number
  nullable    = false
}

variable "max_storage_gib" {
  description = "How far storage may grow by itself, in GiB."
  type        = number
  nullable    = false
}

variable "multi_az" {
  description = "Whether there is a standby in another zone."
  type        = bool
  nullable    = false
}

variable "backup_retention_days" {
  description = "How many days back the database can be restored to any second."
  type        = number
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether it refuses to be deleted."
  type        = bool
  nullable    = false
}
