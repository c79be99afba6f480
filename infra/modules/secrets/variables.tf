variable "name" {
  description = "What the secrets' names begin with."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts them."
  type        = string
  nullable    = false
}

variable "recovery_days" {
  description = "How long a deleted secret can be brought back; 0 deletes at once."
  type        = number
  nullable    = false
}

variable "password_version" {
  description = "The values are written when this changes."
  type        = number
  nullable    = false
}

variable "values" {
  description = "What they hold. Not kept in the state."
  type = object({
    database-url  = string
    redis-url     = string
    admin-token   = string
    metrics-token = string
  })
  ephemeral = true
  sensitive = true
  nullable  = false
}
