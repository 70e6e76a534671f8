"""Models of ultralytics: its shipped architectures, built, recognised, transferred and tapped."""
