mock_provider "aws" {
  source = "./tests/mocks"
}

run "the_state_is_encrypted_versioned_and_private" {
  command = plan

  module {
    source = "./bootstrap"
  }
  variables {
    account_id = "111122223333"
    region     = "eu-south-2"
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "The state is encrypted with our key."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "An older state can be brought back."
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "Nobody may make it public."
  }
  assert {
    condition     = strcontains(output.backend, "use_lockfile = true")
    error_message = "Two runs at once must not both write."
  }
}
