# One image for every process; what it does is the command: see docker-compose.yml.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DJANGO_SETTINGS_MODULE=checkout.settings.production

RUN useradd --create-home --uid 10001 checkout
WORKDIR /app

COPY requirements.txt .
RUN pip install --require-hashes --requirement requirements.txt

COPY --chown=checkout:checkout . .
RUN mkdir -p var/simulator && chown -R checkout:checkout var
USER checkout

# Gathering static files reads the settings but connects to nothing; these values are not used again.
RUN SECRET_KEY=build DATABASE_URL=postgres://none@none/none REDIS_URL=redis://none/0 PROXY_COUNT=1 \
    python manage.py collectstatic --noinput --verbosity 0

EXPOSE 8000
CMD ["gunicorn", "--config", "python:checkout.launch.gunicorn", "--bind", "0.0.0.0:8000"]
