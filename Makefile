# creel - an agent gets a login, not the machine
#
#   make up          the agent VM: build, boot, log in, run a command, fetch a file; says what to try
#   make test        everything: -Werror build, layers, unit tests, fuzz corpora, sanitizers, VM suite
#   make             build the programs into build/
#   make deps        install what building and testing need (Debian packages, as root)
#   make install     DESTDIR= PREFIX=/usr   install files; starts nothing
#
#   make vm          build the agent VM's image (cached)      make ssh    log in as the agent
#   make push        fresh build into the running VM          make down   stop the VM
#   make console     the VM's serial console                  make bench  measure beside OpenSSH and dropbear
#
#   make unit        unit tests                               make fuzz-corpora  replay the fuzz corpora
#   make check-layers  who may include whom                   make lint    gcc -fanalyzer, clang-tidy, shellcheck
#   make format      clang-format in place                    make compile_commands.json
#
# Variables: V=1 shows commands; CC=clang; SANITIZE=address,undefined; WERROR=1; BUILD=build
