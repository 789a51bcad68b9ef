"""What a record is: records, `.avsc` files, Avro codec, schema registry."""
