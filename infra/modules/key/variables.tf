variable "name" {
  description = "What the key is called."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The account whose administrators manage the key."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The region whose CloudWatch may encrypt logs with it."
  type        = string
  nullable    = false
}
