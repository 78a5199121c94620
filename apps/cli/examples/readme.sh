pinfold --help
