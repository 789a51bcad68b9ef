"""compose: Context -> Prompt, exactly what a model will be asked, within an exact budget of tokens."""
