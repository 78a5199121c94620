pinfold list operations
