variable "name" {
  description = "The repository's name."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the images."
  type        = string
  nullable    = false
}

variable "keep_images" {
  description = "How many images are kept."
  type        = number
  nullable    = false
}
