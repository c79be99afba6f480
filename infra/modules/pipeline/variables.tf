variable "name" {
  description = "What everything here is called."
  type        = string
  nullable    = false
}

variable "repository" {
  description = "The repository on GitHub, as owner/name."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "The environment on GitHub that the jobs must belong to."
  type        = string
  nullable    = false
}

variable "create_oidc_provider" {
  description = "Whether GitHub has still to be made known to the account."
  type        = bool
  nullable    = false
}

variable "account_id" {
  description = "The account."
  type        = string
  nullable    = false
}

variable "registry_arn" {
  description = "The repository of images that may be pushed to."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the images."
  type        = string
  nullable    = false
}
