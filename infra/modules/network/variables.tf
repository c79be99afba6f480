variable "name" {
  description = "What everything here is called."
  type        = string
  nullable    = false
}

variable "region" {
  description = "The region, for the names of AWS services."
  type        = string
  nullable    = false
}

variable "cidr" {
  description = "The addresses of the VPC."
  type        = string
  nullable    = false
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, instead of one."
  type        = bool
  nullable    = false
}

variable "interface_endpoints" {
  description = "AWS services reached without leaving the VPC, besides S3."
  type        = set(string)
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the flow logs."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
  nullable    = false
}
