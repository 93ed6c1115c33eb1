"""What a command does in its folder, one file each."""
