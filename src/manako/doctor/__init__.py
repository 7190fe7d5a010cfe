"""The doctor: checks the data before training, and reads what training did: rules, evidence, advice."""
