"""End reports of campaigns, and the links that share them."""
