"""The weak form: what learning a field and discovering an equation share."""
