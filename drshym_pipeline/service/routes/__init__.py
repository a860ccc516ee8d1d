"""The addresses of the service, one module per subject. A route asks the other modules and answers."""
