pinfold list backings
