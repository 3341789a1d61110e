@echo off
rem Starts the workplace on Windows. Needs Python 3.11 or newer, nothing else.
setlocal
chcp 65001 >nul
set "PYTHONUTF8=1"
set "YURT_PY="
for %%P in ("py -3" "python" "python3") do call :try %%~P
if not defined YURT_PY goto missing
%YURT_PY% "%~dp0yurt-workplace.pyz" %*
set "YURT_CODE=%ERRORLEVEL%"
if "%~1"=="" if not "%YURT_CODE%"=="0" pause
exit /b %YURT_CODE%

:try
if defined YURT_PY exit /b 0
%* -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul
if not errorlevel 1 set "YURT_PY=%*"
exit /b 0

:missing
echo Python 3.11 or newer is needed: https://www.python.org/downloads/
echo Нужен Python 3.11 или новее: https://www.python.org/downloads/
echo Python 3.11 немесе одан жаңасы керек: https://www.python.org/downloads/
pause
exit /b 1
