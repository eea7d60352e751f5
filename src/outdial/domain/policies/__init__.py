"""Settings of campaigns that are more than a number: how to call back, what to do on voicemail, when in the day."""
