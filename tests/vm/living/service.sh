# Create service file
mkdir -p ~/.config/systemd/user
cat > ~/.config/systemd/user/my-api.service << 'EOF'
[Unit]
Description=My API Server
After=network.target

[Service]
Type=simple
WorkingDirectory=/home/agent/project
ExecStart=/usr/bin/node /home/agent/project/server.js
Restart=on-failure
RestartSec=5
Environment=PORT=3000
StandardOutput=journal
StandardError=journal

[Install]
WantedBy=default.target
EOF

# Enable and start
systemctl --user daemon-reload
systemctl --user enable my-api
systemctl --user start my-api

