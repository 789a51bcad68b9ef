"""remember: Request, Result, Command -> table sessions. The only writer of conversations; admit reads them."""
