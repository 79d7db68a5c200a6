# A machine of a user who has a server and installed the wheel.
FROM rapyer-native:app AS clean
USER root
RUN apt-get update \
 && apt-get install -y --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/*
USER 999
ENTRYPOINT ["sh", "-c", "exec redis-server --protected-mode no --loadmodule \"$(rapyer module-path)\""]
