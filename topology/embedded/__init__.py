"""A real Apache Kafka without Docker or an installed Java: what `forgestream up`, the demo and the tests run on."""
