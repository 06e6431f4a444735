# Clone a repo
git clone https://github.com/user/repo.git ~/project
cd ~/project

# Branch management
git checkout -b feature/new-thing
git add -A
git commit -m "Add new feature"

# Push (requires token or SSH key configured)
git remote set-url origin https://TOKEN@github.com/user/repo.git
git push origin feature/new-thing

# Pull and merge
git checkout main
git pull origin main
git merge feature/new-thing

# Check status
git status
git log --oneline -10
git diff HEAD~1
