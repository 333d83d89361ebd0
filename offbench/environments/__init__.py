"""What a policy is scored in: tasks, reference scores, batched simulators, pictures."""
