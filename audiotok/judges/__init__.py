"""Networks of others that judge sound: recognisers, speaker encoders, predictors of opinions."""
