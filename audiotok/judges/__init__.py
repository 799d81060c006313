"""Third-party networks that evaluate sound: recognisers, speaker encoders, MOS predictors."""
